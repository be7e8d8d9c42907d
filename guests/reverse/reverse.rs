//! Reverses its input and logs what it does, with Rust's standard library: the shape of a guest, without a model in it.

use std::slice;

extern "C" {
    /// wasm-ld's list of what a C library wants done before it is used.
    fn __wasm_call_ctors();
}

/// What the enclave calls first. Without it, the linker would have every export start and end the C library.
#[no_mangle]
pub unsafe extern "C" fn _initialize() {
    __wasm_call_ctors();
}

/// Returns how many bytes it wrote: the input's last ones where there is no room for all.
///
/// # Safety
/// As `guests/README.md` says: `input_len` bytes can be read at `input`, `output_capacity` written at `output`, and
/// neither overlaps the other. `malloc` is exported (guests/build.py), so both are this module's own memory.
#[no_mangle]
pub unsafe extern "C" fn perform_inference(
    input: *const u8,
    input_len: usize,
    output: *mut u8,
    output_capacity: usize,
) -> i32 {
    let input = slice::from_raw_parts(input, input_len);
    let output = slice::from_raw_parts_mut(output, output_capacity);
    println!("received {} bytes", input.len());
    let length = reverse(input, output);
    println!("returning {} bytes", length);
    length as i32
}

fn reverse(input: &[u8], output: &mut [u8]) -> usize {
    output.iter_mut().zip(input.iter().rev()).map(|(to, from)| *to = *from).count()
}
