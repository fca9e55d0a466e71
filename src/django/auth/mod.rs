//! `django.contrib.auth`.

pub mod backends;
pub mod get_user;
pub mod hashers;
pub mod hashing_pool;
pub mod models;
pub mod password_validation;
pub mod validators;
