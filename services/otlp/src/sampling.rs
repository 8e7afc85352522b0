//! Which traces are sent: a share of them, chosen by their ids, so that every process chooses the same.

use opentelemetry::TraceId;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};

use crate::Error;

/// A share of the traces.
#[derive(Clone, Debug)]
pub(crate) struct Sampling(Sampler);

impl Sampling {
    /// The share that is written there; all without it.
    pub(crate) fn of(share: Option<&str>) -> Result<Self, Error> {
        let Some(text) = share else { return Ok(Self(Sampler::AlwaysOn)) };
        let share: Option<f64> = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(|share| Self(Sampler::TraceIdRatioBased(share))).ok_or_else(|| Error::Share(text.to_owned()))
    }

    /// Whether a trace is among them.
    pub(crate) fn takes(&self, trace: TraceId) -> bool {
        let result = self.0.should_sample(None, trace, "", &SpanKind::Internal, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn taken(share: &str) -> usize {
        let sampling = Sampling::of(Some(share)).unwrap();
        // Spread as random ids are.
        let ids = (1..=1000_u128).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        ids.filter(|id| sampling.takes(TraceId::from(*id))).count()
    }

    #[test]
    fn about_the_share_that_is_asked_for_is_taken() {
        assert_eq!([taken("0"), taken("1")], [0, 1000]);
        assert!((50..150).contains(&taken("0.1")), "{}", taken("0.1"));
    }

    #[test]
    fn what_is_no_share_is_refused_with_its_value() {
        for text in ["2", "-0.1", "ten percent", "NaN"] {
            assert!(Sampling::of(Some(text)).unwrap_err().to_string().contains(text), "{text}");
        }
    }
}
