//! The one module with unsafe code: a setting of the C library's allocator.

/// Large buffers are given back to the system as soon as they are freed.
///
/// glibc raises the size from which it does so with every large buffer that is freed, up to 32 MiB, and keeps what is
/// below in its heap; the peak then grows past what is in use, and past what was projected. Buffers that are used
/// again and again come from a pool and do not pass here.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt has no safe form; it is called before there is a second thread")]
pub fn return_large_buffers() {
    const FROM_BYTES: libc::c_int = 8 << 20;
    // SAFETY: mallopt only sets numbers; no other thread is running yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, FROM_BYTES);
        // Setting the first fixes this one at 128 KiB, and the end of the heap would come and go with every band.
        libc::mallopt(libc::M_TRIM_THRESHOLD, FROM_BYTES);
    }
}

/// Other allocators do so by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn return_large_buffers() {}
