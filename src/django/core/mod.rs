//! `django.core`: signed texts and validators.

pub mod signing;
pub mod validators;
