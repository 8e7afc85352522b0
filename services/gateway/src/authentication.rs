//! Who is calling, as far as the token says.

use http::HeaderMap;
use runtime::identity::{Identity, TokenError, TokenVerifier};

use crate::{error::GatewayError, routes::Access};

/// The caller, if there is one and the route wants to know. Whether the session still lasts is asked of Redis later,
/// together with the limits.
pub fn identify(
    access: Access,
    headers: &HeaderMap,
    verifier: &TokenVerifier,
) -> Result<Option<Identity>, GatewayError> {
    match access {
        Access::Public => Ok(None),
        Access::Optional => match verifier.verify_headers(headers) {
            Ok(identity) => Ok(Some(identity)),
            Err(TokenError::Missing | TokenError::Expired) => Ok(None),
            Err(error) => Err(error.into()),
        },
        Access::LoggedIn | Access::Staff => Ok(Some(verifier.verify_headers(headers)?)),
    }
}

/// Refuses whom the route is not for.
pub fn authorise(access: Access, identity: Option<&Identity>) -> Result<(), GatewayError> {
    if access.allows(identity.map(|identity| identity.roles.as_slice())) {
        Ok(())
    } else if identity.is_none() {
        Err(TokenError::Missing.into())
    } else {
        Err(GatewayError::Forbidden)
    }
}
