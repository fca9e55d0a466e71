//! `rest_framework.authtoken`.

pub mod models;
pub mod serializers;
pub mod views;
