//! The macro that makes a component of a plugin.

/// Exports a plugin: `export!(MyPlugin);`, or `export!(MyPlugin with state);` where it is
/// [`Stateful`](crate::Stateful). Once per crate, on its top level, with the plain name of a type. Outside
/// WebAssembly it only checks that the type is such a plugin, so that the crate's tests run natively.
#[macro_export]
macro_rules! export {
    ($plugin:ident) => {
        const _: fn() = $crate::is_plugin::<$plugin>;
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::component!($plugin, None);
            $crate::glue::bindings::transformer::export_transformer!(Component with_types_in $crate::glue::bindings::transformer);
        };
    };
    ($plugin:ident with state) => {
        const _: fn() = $crate::is_stateful::<$plugin>;
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::component!($plugin, Some($crate::StateVersions {
                current: <$plugin as $crate::Stateful>::STATE_VERSION,
                converts: <$plugin as $crate::Stateful>::CONVERTS,
            }));
            $crate::glue::bindings::transformer::export_transformer!(Component with_types_in $crate::glue::bindings::transformer);
            $crate::glue::bindings::stateful::export_state!(Component with_types_in $crate::glue::bindings::stateful);
        };
    };
}

/// The type behind the exports and its only instance.
#[doc(hidden)]
#[macro_export]
macro_rules! component {
    ($plugin:ident, $versions:expr) => {
        ::std::thread_local! {
            static GUEST: ::std::cell::RefCell<$crate::guest::Guest<$plugin>> =
                const { ::std::cell::RefCell::new($crate::guest::Guest::new()) };
        }

        struct Component;

        impl $crate::glue::Component for Component {
            type Plugin = $plugin;

            fn state_versions() -> ::std::option::Option<$crate::StateVersions> {
                $versions
            }

            fn with<R>(call: impl ::std::ops::FnOnce(&mut $crate::guest::Guest<$plugin>) -> R) -> R {
                GUEST.with_borrow_mut(call)
            }
        }
    };
}

/// Holds when the type can be exported without state.
#[doc(hidden)]
pub fn is_plugin<P: crate::Plugin>() {}

/// Holds when the type can be exported with state.
#[doc(hidden)]
pub fn is_stateful<P: crate::Stateful>() {}
