//! Signing in: a fresh connection, one bind.

use tokio::time::timeout;

use crate::service::directory::DirectoryError;

use super::connect::{Place, verdict};

/// Whether that is the password of that entry.
///
/// Without a password or a name a bind is anonymous and succeeds (RFC 4513 §5.1.1, §5.1.2), so
/// neither is asked for.
pub async fn is_password(place: &Place, dn: &str, password: &str) -> Result<bool, DirectoryError> {
    if dn.trim().is_empty() || password.is_empty() {
        return Ok(false);
    }
    let asked = async {
        let mut connection = place.connect().await?;
        connection.bind(dn, password).await
    };
    // Each step has its time; somebody waits for all of them.
    let code = timeout(place.settings.timeout.saturating_mul(2), asked).await.unwrap_or_else(|_| {
        Err(DirectoryError::Unreachable("it takes too long to check a password".to_owned()))
    })?;
    match code {
        0 => Ok(true),
        // Wrong; locked (19, 53 by several servers); without a password there (48); gone (32), or no name
        // that could be an entry's (34).
        49 | 19 | 53 | 48 | 32 | 34 => Ok(false),
        code => Err(verdict(code, "the user's entry")),
    }
}
