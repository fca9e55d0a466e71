//! `django.core`: validators.

pub mod validators;
