//! Plugins: WebAssembly components and their running instances.
