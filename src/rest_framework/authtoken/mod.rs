//! `rest_framework.authtoken`.

pub mod lookups;
pub mod models;
pub mod serializers;
pub mod views;
