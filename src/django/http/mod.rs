//! `django.http`.

pub mod cookie;
pub mod multipartparser;
pub mod querydict;
pub mod request;
