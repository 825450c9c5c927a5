//! Raw camera pictures to I420.
//!
//! Only where the samples lie is changed, never what they mean: matrix and range stay the camera's own and travel with the
//! picture (see [`super::Colour`]) to the shader that shows it, so no code value is rounded twice.

use super::Size;
use yuv::{BufferStoreMut, YuvPackedImage, YuvPlanarImageMut};

/// A picture cannot be converted; it is lost, the next one may be whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The buffer does not hold as many rows as the format says.
    #[error("{got} bytes instead of {want}")]
    Short {
        /// Bytes there.
        got: usize,
        /// Bytes needed.
        want: usize,
    },
    /// The destination has another size than the picture, or the picture's size cannot be handled.
    #[error("{0} is no usable picture size")]
    Size(Size),
    /// The picture is not what it says it is.
    #[error("{0}")]
    Damaged(String),
}

/// A picture as a camera delivers it.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// The samples; what lies behind them in the buffer is ignored.
    pub data: &'a [u8],
    /// The camera's size, odd ones included.
    pub size: Size,
    /// Bytes from one row to the next (of luma, for planar formats).
    pub stride: usize,
}

impl Raw<'_> {
    /// The part of a picture of this size that can be handled: a last odd column or row is left out.
    pub const fn even(size: Size) -> Size {
        Size::new(size.width & !1, size.height & !1)
    }

    /// Checks that there are `rows` rows, and that the destination is right.
    fn check(&self, rows: usize, row_bytes: usize, out: &[u8]) -> Result<Size, Error> {
        let size = Self::even(self.size);
        let want = self.stride.saturating_mul(rows);
        if !size.is_valid() || self.stride < row_bytes || out.len() != size.pixels() * 3 / 2 {
            return Err(Error::Size(self.size));
        }
        if self.data.len() < want {
            return Err(Error::Short { got: self.data.len(), want });
        }
        Ok(size)
    }
}

/// Splits an I420 buffer into Y, U and V.
pub fn planes(i420: &mut [u8], size: Size) -> (&mut [u8], &mut [u8], &mut [u8]) {
    let (y, chroma) = i420.split_at_mut(size.pixels());
    let (u, v) = chroma.split_at_mut(size.pixels() / 4);
    (y, u, v)
}

/// Two rows of 4:2:2 chroma become one of 4:2:0.
pub(super) fn average_rows(above: &[u8], below: &[u8], out: &mut [u8]) {
    for ((out, &a), &b) in out.iter_mut().zip(above).zip(below) {
        *out = ((u16::from(a) + u16::from(b) + 1) >> 1) as u8;
    }
}

/// YUYV (YUY2, 4:2:2 packed) to I420. `out` holds an I420 picture of [`Raw::even`] size; `scratch` is working memory that
/// grows once.
pub fn yuyv(raw: Raw<'_>, scratch: &mut Vec<u8>, out: &mut [u8]) -> Result<(), Error> {
    let height = Raw::even(raw.size).height as usize;
    let size = raw.check(height, 2 * (raw.size.width as usize & !1), out)?;
    let (width, half) = (size.width as usize, size.width as usize / 2);
    scratch.resize(size.pixels(), 0);
    let (u422, v422) = scratch.split_at_mut(size.pixels() / 2);
    let (y, u, v) = planes(out, size);
    let packed = YuvPackedImage {
        yuy: &raw.data[..raw.stride * height],
        yuy_stride: raw.stride as u32,
        width: size.width,
        height: size.height,
    };
    // The library's own 4:2:0 takes the chroma of one row of two and throws the other away, hence the step over 4:2:2.
    let mut planar = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(y),
        y_stride: width as u32,
        u_plane: BufferStoreMut::Borrowed(u422),
        u_stride: half as u32,
        v_plane: BufferStoreMut::Borrowed(v422),
        v_stride: half as u32,
        width: size.width,
        height: size.height,
    };
    yuv::yuyv422_to_yuv422(&mut planar, &packed).map_err(|error| Error::Damaged(error.to_string()))?;
    for (from, to) in [(&*u422, u), (&*v422, v)] {
        for (pair, row) in from.chunks_exact(width).zip(to.chunks_exact_mut(half)) {
            average_rows(&pair[..half], &pair[half..], row);
        }
    }
    Ok(())
}

/// NV12 (luma, then interleaved chroma; both with the same stride) to I420. `out` holds an I420 picture of [`Raw::even`] size.
pub fn nv12(raw: Raw<'_>, out: &mut [u8]) -> Result<(), Error> {
    let rows = raw.size.height as usize + Raw::even(raw.size).height as usize / 2;
    let size = raw.check(rows, raw.size.width as usize & !1, out)?;
    let (width, half) = (size.width as usize, size.width as usize / 2);
    let (luma, chroma) = raw.data.split_at(raw.stride * raw.size.height as usize);
    let (y, u, v) = planes(out, size);
    for (from, to) in luma.chunks_exact(raw.stride).zip(y.chunks_exact_mut(width)) {
        to.copy_from_slice(&from[..width]);
    }
    let rows = u.chunks_exact_mut(half).zip(v.chunks_exact_mut(half));
    for (from, (u, v)) in chroma.chunks_exact(raw.stride).zip(rows) {
        for ((pair, u), v) in from[..width].chunks_exact(2).zip(u).zip(v) {
            (*u, *v) = (pair[0], pair[1]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A YUYV picture whose luma counts and whose chroma is different in each row.
    fn packed(width: usize, height: usize, stride: usize) -> Vec<u8> {
        let mut data = vec![0xAA; stride * height];
        for (row, line) in data.chunks_exact_mut(stride).enumerate() {
            for x in 0..width {
                line[2 * x] = (row * 16 + x) as u8;
                line[2 * x + 1] = if x % 2 == 0 { 10 * row as u8 } else { 100 + 10 * row as u8 };
            }
        }
        data
    }

    #[test]
    fn yuyv_keeps_luma_and_averages_chroma_of_two_rows() {
        // Wide enough for the vector code, with a remainder and padding behind each row.
        let (width, height, stride) = (166, 4, 400);
        let data = packed(width, height, stride);
        let size = Size::new(width as u32, height as u32);
        let (mut scratch, mut out) = (Vec::new(), vec![0; size.pixels() * 3 / 2]);
        yuyv(Raw { data: &data, size, stride }, &mut scratch, &mut out).unwrap();
        let (y, u, v) = planes(&mut out, size);
        for (row, line) in y.chunks_exact(width).enumerate() {
            assert!(line.iter().enumerate().all(|(x, &y)| y == (row * 16 + x) as u8));
        }
        for (row, (u, v)) in u.chunks_exact(width / 2).zip(v.chunks_exact(width / 2)).enumerate() {
            assert!(u.iter().all(|&u| u == 5 + 20 * row as u8), "{row}: {u:?}");
            assert!(v.iter().all(|&v| v == 105 + 20 * row as u8), "{row}: {v:?}");
        }
    }

    #[test]
    fn an_odd_row_and_column_are_left_out() {
        let (width, height, stride) = (7, 5, 16);
        let data = packed(width, height, stride);
        let (size, even) = (Size::new(7, 5), Size::new(6, 4));
        let mut out = vec![0; even.pixels() * 3 / 2];
        yuyv(Raw { data: &data, size, stride }, &mut Vec::new(), &mut out).unwrap();
        assert_eq!(out[6], 16, "the second row begins with its own first sample");
        let semi = vec![7; 8 * (5 + 2)];
        nv12(Raw { data: &semi, size, stride: 8 }, &mut out).unwrap();
        assert!(out.iter().all(|&sample| sample == 7));
    }

    #[test]
    fn nv12_is_taken_apart() {
        let (size, stride) = (Size::new(4, 2), 6);
        #[rustfmt::skip]
        let data = [
            1, 2, 3, 4, 0, 0,
            5, 6, 7, 8, 0, 0,
            10, 20, 11, 21, 0, 0,
        ];
        let mut out = vec![0; 12];
        nv12(Raw { data: &data, size, stride }, &mut out).unwrap();
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 20, 21]);
    }

    #[test]
    fn short_buffers_and_wrong_sizes_are_errors() {
        let size = Size::new(64, 4);
        let raw = |data| Raw { data, size, stride: 128 };
        let mut out = vec![0; size.pixels() * 3 / 2];
        let short = Err(Error::Short { got: 511, want: 512 });
        assert_eq!(yuyv(raw(&[0; 511]), &mut Vec::new(), &mut out), short);
        assert_eq!(yuyv(raw(&[0; 512]), &mut Vec::new(), &mut out[1..]), Err(Error::Size(size)));
        let narrow = Raw { data: &[0; 512], size, stride: 100 };
        assert_eq!(yuyv(narrow, &mut Vec::new(), &mut out), Err(Error::Size(size)));
        assert!(nv12(Raw { data: &[0; 10], size, stride: 64 }, &mut out).is_err());
        let huge = Raw { data: &[0; 10], size: Size::new(u32::MAX, u32::MAX), stride: usize::MAX };
        assert!(nv12(huge, &mut out).is_err());
    }
}
