//! Personal data is unloggable by type: what holds names, addresses or card text says no more of
//! itself in `Debug` than what it is.

/// Gives each type a `Debug` that shows its name and nothing in it.
#[macro_export]
macro_rules! hidden {
    ($($name:ident),+ $(,)?) => {
        $(impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        })+
    };
}
