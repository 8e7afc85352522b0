//! What a notification says to whom it reaches outside the client: who wrote, and nothing of what.

/// Names are cut to this many characters.
const LONGEST_NAME: usize = 64;

/// The line that tells someone of a message, in an e-mail and on a device. `sender` is a name that is [`presentable`].
pub(crate) fn headline(sender: Option<&str>) -> String {
    match sender {
        Some(name) => format!("{name} sent you a message"),
        None => "You have a new message".to_owned(),
    }
}

/// A display name fit to be sent, or nothing. People choose their names: one that mail programs and phones would turn into a link would make
/// of this platform a sender of other people's links.
pub(crate) fn presentable(name: &str) -> Option<String> {
    let printable: String = name.chars().filter(|char| !char.is_control()).take(LONGEST_NAME).collect();
    let name = printable.trim();
    let links = name.contains("://") || name.contains('@') || name.split_whitespace().any(is_like_a_host);
    (!name.is_empty() && !links).then(|| name.to_owned())
}

/// `evil.example`, `www.x`, `a.b/c`, but not `J.` or `Dr.`.
fn is_like_a_host(word: &str) -> bool {
    word.split(['/', '?', '#', ':']).next().and_then(|host| host.rsplit_once('.')).is_some_and(|(before, last)| {
        !before.is_empty() && last.chars().filter(|char| char.is_alphanumeric()).count() >= 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_smuggle_a_link_in() {
        for name in ["https://evil.example", "Visit evil.example now", "me@evil.example", "www.evil", "evil.example/x"]
        {
            assert_eq!(presentable(name), None, "{name}");
        }
        for name in ["Alice", "Dr. J. R. Smith", "Żółć", "O'Neil", "Bob (sales)", "..."] {
            assert_eq!(presentable(name).as_deref(), Some(name));
        }
    }
}
