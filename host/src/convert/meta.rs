//! Fields of the record itself.
