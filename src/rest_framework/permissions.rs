//! `rest_framework.permissions`.

use super::exceptions::APIException;
use crate::django::auth::models::User;

/// A permission class of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// `IsAuthenticated`.
    IsAuthenticated,
}

impl Permission {
    /// `has_permission`.
    #[must_use]
    pub fn has_permission(self, user: Option<&User>) -> bool {
        match self {
            Self::IsAuthenticated => user.is_some(),
        }
    }
}

/// `APIView.check_permissions`. None of the permissions so far refuses a user, so a refusal is
/// always `NotAuthenticated`.
pub fn check_permissions(
    permissions: &[Permission],
    user: Option<&User>,
) -> Result<(), APIException> {
    if permissions.iter().all(|permission| permission.has_permission(user)) {
        Ok(())
    } else {
        Err(APIException::NotAuthenticated)
    }
}
