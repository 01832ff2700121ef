//! Tests of tables and the picture.
