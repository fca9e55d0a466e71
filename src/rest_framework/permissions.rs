//! `rest_framework.permissions`.

use super::exceptions::APIException;
use crate::django::auth::models::User;

/// A permission class of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// `IsAuthenticated`.
    IsAuthenticated,
    /// `IsAdminUser`: staff. Only for views whose users come with their profile.
    IsAdminUser,
}

impl Permission {
    /// `has_permission`.
    #[must_use]
    pub fn has_permission(self, user: Option<&User>) -> bool {
        match self {
            Self::IsAuthenticated => user.is_some(),
            Self::IsAdminUser => {
                user.and_then(|user| user.profile.as_ref()).is_some_and(|profile| profile.is_staff)
            }
        }
    }
}

/// `APIView.check_permissions`, and `permission_denied` for the first one that refuses.
pub fn check_permissions(
    permissions: &[Permission],
    user: Option<&User>,
) -> Result<(), APIException> {
    if permissions.iter().all(|permission| permission.has_permission(user)) {
        return Ok(());
    }
    Err(user.map_or(APIException::NotAuthenticated, |_| APIException::PermissionDenied))
}
