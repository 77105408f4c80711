//! One task: a consumer, its lanes, and one database connection.
