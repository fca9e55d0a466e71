//! `django.http`.

pub mod multipartparser;
pub mod querydict;
pub mod request;
