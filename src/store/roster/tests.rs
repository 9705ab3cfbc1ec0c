//! The index of contacts against a list that is asked one by one.
