//! The table of routes: what the platform answers, who may ask, how it is counted, and who does the work.

use contract::claims::Role;
use http::Method;

/// One row: the first that fits method and path decides. A prefix fits whole segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Methods it is for.
    pub methods: &'static [Method],
    /// How the path starts.
    pub prefix: &'static str,
    /// How it is counted and limited.
    pub class: Class,
    /// Who may ask.
    pub access: Access,
    /// Who answers.
    pub answerer: Answerer,
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// A service behind.
    Service(Upstream),
    /// The gateway itself, with what describes all services.
    Documentation,
}

/// Routes of one class share limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Credentials: few, and by address, against guessing.
    Auth,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Bodies as large as files.
    Upload,
    /// Socket.IO: handshakes and polls; its answers may be upgrades.
    Socket,
}

/// Who may ask. The service behind verifies again and decides about the thing asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// Anyone; but a token of a revoked session is refused even here.
    Optional,
    /// Who is logged in.
    LoggedIn,
    /// Moderators and admins.
    Staff,
}

/// The services behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// Accounts and sessions.
    Auth,
    /// Conversations, messages and sockets.
    Chat,
    /// Files.
    Media,
    /// Notifications and devices.
    Notification,
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const CHANGE: &[Method] = &[Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const SOCKET: &[Method] = &[Method::GET, Method::POST];

/// All routes.
pub const ROUTES: &[Route] = &[
    row(POST, "/api/v1/auth/register", Class::Auth, Access::Public, Upstream::Auth),
    row(POST, "/api/v1/auth/login", Class::Auth, Access::Public, Upstream::Auth),
    row(POST, "/api/v1/auth/forgot-password", Class::Auth, Access::Public, Upstream::Auth),
    row(POST, "/api/v1/auth/reset-password", Class::Auth, Access::Public, Upstream::Auth),
    row(POST, "/api/v1/auth/verify-email", Class::Auth, Access::Public, Upstream::Auth),
    // The second step of a log-in: its challenge shows that the password was right.
    row(POST, "/api/v1/auth/mfa/totp/login", Class::Auth, Access::Public, Upstream::Auth),
    // A refresh token is 256 random bits that nobody guesses; a household behind one address refreshes a lot.
    row(POST, "/api/v1/auth/refresh", Class::Write, Access::Public, Upstream::Auth),
    // Whoever wants to leave may do so with an access token that has run out; the refresh token is proof enough.
    row(POST, "/api/v1/auth/logout", Class::Write, Access::Optional, Upstream::Auth),
    row(GET, "/api/v1/auth", Class::Read, Access::LoggedIn, Upstream::Auth),
    row(CHANGE, "/api/v1/auth", Class::Write, Access::LoggedIn, Upstream::Auth),
    row(GET, "/api/v1/users", Class::Read, Access::LoggedIn, Upstream::Auth),
    row(CHANGE, "/api/v1/users", Class::Write, Access::LoggedIn, Upstream::Auth),
    row(GET, "/api/v1/admin", Class::Read, Access::Staff, Upstream::Auth),
    row(CHANGE, "/api/v1/admin", Class::Write, Access::Staff, Upstream::Auth),
    row(GET, "/.well-known/jwks.json", Class::Read, Access::Public, Upstream::Auth),
    row(GET, "/api/v1/conversations", Class::Read, Access::LoggedIn, Upstream::Chat),
    row(CHANGE, "/api/v1/conversations", Class::Write, Access::LoggedIn, Upstream::Chat),
    row(GET, "/api/v1/search", Class::Read, Access::LoggedIn, Upstream::Chat),
    // Tokens of sockets travel in Socket.IO's own handshake, which the chat service verifies.
    row(SOCKET, "/socket.io", Class::Socket, Access::Public, Upstream::Chat),
    row(POST, "/api/v1/media/uploads", Class::Write, Access::LoggedIn, Upstream::Media),
    row(POST, "/api/v1/media", Class::Upload, Access::LoggedIn, Upstream::Media),
    row(GET, "/api/v1/media", Class::Read, Access::LoggedIn, Upstream::Media),
    row(CHANGE, "/api/v1/media", Class::Write, Access::LoggedIn, Upstream::Media),
    row(GET, "/api/v1/notifications", Class::Read, Access::LoggedIn, Upstream::Notification),
    row(CHANGE, "/api/v1/notifications", Class::Write, Access::LoggedIn, Upstream::Notification),
    row(GET, "/api/v1/notification-preferences", Class::Read, Access::LoggedIn, Upstream::Notification),
    row(CHANGE, "/api/v1/notification-preferences", Class::Write, Access::LoggedIn, Upstream::Notification),
    row(GET, "/api/v1/devices", Class::Read, Access::LoggedIn, Upstream::Notification),
    row(CHANGE, "/api/v1/devices", Class::Write, Access::LoggedIn, Upstream::Notification),
    documentation("/api/openapi.json"),
    documentation("/api/docs"),
];

const fn row(
    methods: &'static [Method],
    prefix: &'static str,
    class: Class,
    access: Access,
    upstream: Upstream,
) -> Route {
    Route { methods, prefix, class, access, answerer: Answerer::Service(upstream) }
}

const fn documentation(prefix: &'static str) -> Route {
    Route { methods: GET, prefix, class: Class::Read, access: Access::Public, answerer: Answerer::Documentation }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Along this route.
    Route(&'static Route),
    /// The path is known, the method is not: these are.
    OtherMethods(Vec<Method>),
    /// Nowhere.
    Nothing,
}

/// Looks a request up in the table.
#[must_use]
pub fn find(method: &Method, path: &str) -> Found {
    if has_dot_segment(path) {
        return Found::Nothing;
    }
    let rows = || ROUTES.iter().filter(|route| route.fits(path));
    if let Some(route) = rows().find(|route| route.methods.contains(method)) {
        return Found::Route(route);
    }
    let mut methods: Vec<Method> = Vec::new();
    for method in rows().flat_map(|route| route.methods) {
        if !methods.contains(method) {
            methods.push(method.clone());
        }
    }
    if methods.is_empty() { Found::Nothing } else { Found::OtherMethods(methods) }
}

impl Route {
    fn fits(&self, path: &str) -> bool {
        path.strip_prefix(self.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What `.` and `..` mean differs between servers; a path with them could be one route here and another behind.
fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        dots == "." || dots == ".."
    })
}

impl Access {
    /// Whether who has these roles may ask; `None` is who is not logged in.
    #[must_use]
    pub fn allows(self, roles: Option<&[Role]>) -> bool {
        match self {
            Self::Public | Self::Optional => true,
            Self::LoggedIn => roles.is_some(),
            Self::Staff => roles.is_some_and(|roles| roles.contains(&Role::Moderator) || roles.contains(&Role::Admin)),
        }
    }
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 5] = [Self::Auth, Self::Read, Self::Write, Self::Upload, Self::Socket];

    /// Its name in settings, headers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Read => "read",
            Self::Write => "write",
            Self::Upload => "upload",
            Self::Socket => "socket",
        }
    }
}

impl Upstream {
    /// All upstreams.
    pub const ALL: [Self; 4] = [Self::Auth, Self::Chat, Self::Media, Self::Notification];

    /// Its name in settings, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Chat => "chat",
            Self::Media => "media",
            Self::Notification => "notification",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str) -> &'static Route {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        match find(&method, path) {
            Found::Route(route) => route,
            other => panic!("{method} {path} leads to {other:?}"),
        }
    }

    #[test]
    fn everything_that_the_platform_answers_has_a_way() {
        for (method, path, upstream) in [
            ("POST", "/api/v1/auth/register", Upstream::Auth),
            ("POST", "/api/v1/auth/logout-all", Upstream::Auth),
            ("DELETE", "/api/v1/auth/sessions/01", Upstream::Auth),
            ("POST", "/api/v1/auth/mfa/totp/confirm", Upstream::Auth),
            ("GET", "/.well-known/jwks.json", Upstream::Auth),
            ("PATCH", "/api/v1/users/me", Upstream::Auth),
            ("GET", "/api/v1/admin/users", Upstream::Auth),
            ("POST", "/api/v1/conversations", Upstream::Chat),
            ("PUT", "/api/v1/conversations/01/messages/02/reactions/%F0%9F%91%8D", Upstream::Chat),
            ("GET", "/api/v1/conversations/01/changes", Upstream::Chat),
            ("GET", "/api/v1/search/messages", Upstream::Chat),
            ("GET", "/socket.io/", Upstream::Chat),
            ("POST", "/socket.io/", Upstream::Chat),
            ("POST", "/api/v1/media", Upstream::Media),
            ("GET", "/api/v1/media/01/content", Upstream::Media),
            ("POST", "/api/v1/notifications/read-all", Upstream::Notification),
            ("PUT", "/api/v1/notification-preferences", Upstream::Notification),
            ("GET", "/api/v1/notification-preferences", Upstream::Notification),
            ("GET", "/api/v1/devices", Upstream::Notification),
            ("POST", "/api/v1/devices", Upstream::Notification),
            ("DELETE", "/api/v1/devices/01", Upstream::Notification),
        ] {
            assert_eq!(route(method, path).answerer, Answerer::Service(upstream), "{method} {path}");
        }
    }

    #[test]
    fn only_what_comes_before_a_log_in_is_open() {
        let open: Vec<_> = ROUTES.iter().filter(|route| route.access.allows(None)).map(|route| route.prefix).collect();
        assert_eq!(
            open,
            [
                "/api/v1/auth/register",
                "/api/v1/auth/login",
                "/api/v1/auth/forgot-password",
                "/api/v1/auth/reset-password",
                "/api/v1/auth/verify-email",
                "/api/v1/auth/mfa/totp/login",
                "/api/v1/auth/refresh",
                "/api/v1/auth/logout",
                "/.well-known/jwks.json",
                "/socket.io",
                "/api/openapi.json",
                "/api/docs",
            ]
        );
        assert_eq!(route("POST", "/api/v1/auth/logout-all").access, Access::LoggedIn);
    }

    #[test]
    fn a_file_goes_another_way_than_a_request_for_an_upload() {
        assert_eq!(route("POST", "/api/v1/media").class, Class::Upload);
        assert_eq!(route("POST", "/api/v1/media/uploads").class, Class::Write);
    }

    #[test]
    fn no_row_hides_a_later_one() {
        for (at, later) in ROUTES.iter().enumerate() {
            for earlier in &ROUTES[..at] {
                let hidden =
                    earlier.fits(later.prefix) && later.methods.iter().all(|method| earlier.methods.contains(method));
                assert!(!hidden, "{earlier:?} hides {later:?}");
            }
        }
    }

    #[test]
    fn an_unknown_path_leads_nowhere_and_an_unknown_method_names_the_known_ones() {
        for path in ["/", "/api/v1", "/api/v1/authority", "/api/v2/users/me", "/metrics", "/livez", "/socket.iox"] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path}");
        }
        assert_eq!(find(&Method::GET, "/socket.io/../api/v1/users"), Found::Nothing);
        assert_eq!(find(&Method::GET, "/api/v1/users/%2E%2e/admin"), Found::Nothing);
        assert_eq!(find(&Method::PUT, "/socket.io/"), Found::OtherMethods(vec![Method::GET, Method::POST]));
    }

    #[test]
    fn staff_is_who_moderates_or_administers() {
        assert!(!Access::Staff.allows(Some(&[Role::User])));
        assert!(Access::Staff.allows(Some(&[Role::User, Role::Moderator])));
        assert!(Access::Staff.allows(Some(&[Role::Admin])));
        assert!(!Access::LoggedIn.allows(None));
    }
}
