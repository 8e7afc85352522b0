use mongodb::bson::{Document, doc};

use super::member::Member;
use super::pace::{Halt, Pace};

/// Makes a write count once a majority has it, for every client that says nothing else.
pub(super) async fn reconcile(primary: &Member, pace: &mut Pace) -> Result<(), Halt> {
    let defaults = primary.admin("tell its default write concern", doc! {"getDefaultRWConcern": 1}).await?;
    if writes_to_majority(&defaults) {
        return Ok(());
    }
    pace.step()?;
    let command = doc! {
        "setDefaultRWConcern": 1,
        "defaultWriteConcern": {"w": "majority"},
        "writeConcern": {"w": "majority", "wtimeout": 4000},
    };
    primary.admin("set its default write concern", command).await?;
    pace.changed("set the default write concern to majority");
    Ok(())
}

fn writes_to_majority(defaults: &Document) -> bool {
    // "implicit" is what the server works out by itself, and that changes with the members.
    let is = |document: &Document, key, wanted| document.get_str(key).is_ok_and(|found| found == wanted);
    is(defaults, "defaultWriteConcernSource", "global")
        && defaults.get_document("defaultWriteConcern").is_ok_and(|concern| is(concern, "w", "majority"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_that_is_only_implied_does_not_count() {
        let defaults = |source| doc! {"defaultWriteConcern": {"w": "majority"}, "defaultWriteConcernSource": source};
        assert!(writes_to_majority(&defaults("global")));
        assert!(!writes_to_majority(&defaults("implicit")));
    }
}
