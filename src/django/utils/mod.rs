//! `django.utils`: what `rest_framework` and `django.http` both need.

pub mod crypto;
pub mod encoding;
pub mod html;
pub mod http;
pub mod text;
pub mod translation;
pub mod urllib;
