//! Checking the fields of a body: all faults are told at once, each by the name of its field.

use contract::problem::{FieldError, Problem};

use crate::accounts::{DisplayName, Email, Username};

/// Faults found so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes that `field` is at fault.
    pub(super) fn add(&mut self, field: &str, message: &(impl ToString + ?Sized)) {
        self.0.push(FieldError { field: field.to_owned(), message: message.to_string() });
    }

    /// The value of a field that must be there and pass `parse`.
    pub(super) fn required<T, E: ToString>(
        &mut self,
        field: &str,
        value: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(value) = value else {
            self.add(field, "is missing");
            return None;
        };
        self.optional(field, Some(value), parse)
    }

    /// The value of a field that must be there, whatever it is.
    pub(super) fn required_text(&mut self, field: &str, value: Option<String>) -> Option<String> {
        if value.is_none() {
            self.add(field, "is missing");
        }
        value
    }

    /// The value of a field that must pass `parse` if it is there.
    pub(super) fn optional<T, E: ToString>(
        &mut self,
        field: &str,
        value: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(value?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.add(field, &fault);
                None
            }
        }
    }
}

/// The names of an account to be made. An empty display name in a form is one that was not filled in, and is the user name then.
pub(super) fn names(
    faults: &mut Faults,
    (email, username, display_name): (Option<&str>, Option<&str>, Option<&str>),
) -> Option<(Email, Username, DisplayName)> {
    let email = faults.required("email", email, Email::parse);
    let username = faults.required("username", username, Username::parse);
    let display_name = display_name.filter(|name| !name.trim().is_empty());
    let display_name = faults.optional("displayName", display_name, DisplayName::parse);
    let (email, username) = email.zip(username)?;
    let display_name = display_name.unwrap_or_else(|| DisplayName::from(&username));
    Some((email, username, display_name))
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        Self { errors: faults.0, ..Self::validation_failed() }
    }
}
