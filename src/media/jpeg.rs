//! JPEG pictures of MJPEG cameras to I420, without RGB on the way.

use super::Size;
use super::convert::{Error, Raw, average_rows, planes};
use turbojpeg::{Colorspace, Decompressor, Subsamp, YuvImage};

/// A decoder with its working memory.
#[derive(Debug)]
pub struct Jpeg {
    decompressor: Decompressor,
    scratch: Vec<u8>,
}

impl Jpeg {
    /// A decoder.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { decompressor: decompressor()?, scratch: Vec::new() })
    }

    /// Decodes the JPEG at the beginning of `buffer` into `out`, an I420 picture of [`Raw::even`] size. `size` is what was
    /// agreed with the camera; a JPEG of another size is damaged. The samples are BT.601, full range (JFIF).
    pub fn decode(&mut self, buffer: &[u8], size: Size, out: &mut [u8]) -> Result<(), Error> {
        let decoded = self.try_decode(buffer, size, out);
        if decoded.is_err() {
            // After some errors the library goes on in the middle of the damaged picture and refuses every later one.
            self.decompressor = decompressor()?;
        }
        decoded
    }

    fn try_decode(&mut self, buffer: &[u8], size: Size, out: &mut [u8]) -> Result<(), Error> {
        let even = Raw::even(size);
        if !even.is_valid() || out.len() != even.pixels() * 3 / 2 {
            return Err(Error::Size(size));
        }
        let data = cut(buffer).ok_or_else(|| Error::Damaged("no end marker".into()))?;
        let header = self.decompressor.read_header(data).map_err(damaged)?;
        if (header.width, header.height) != (size.width as usize, size.height as usize) {
            let problem = format!("a JPEG of {}x{} where {size} was agreed", header.width, header.height);
            return Err(Error::Damaged(problem));
        }
        if !matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray) || header.is_lossless {
            return Err(Error::Damaged(format!("a JPEG in {:?}", header.colorspace)));
        }
        if header.subsamp == Subsamp::Sub2x2 && even == size {
            return self.planes(data, header.subsamp, size, Destination::Direct(out));
        }
        let bytes = turbojpeg::yuv_pixels_len(header.width, 1, header.height, header.subsamp).map_err(damaged)?;
        self.scratch.resize(bytes, 0);
        self.planes(data, header.subsamp, size, Destination::Scratch)?;
        subsample(&self.scratch, header.subsamp, size, out)
    }

    fn planes(&mut self, data: &[u8], subsamp: Subsamp, size: Size, to: Destination<'_>) -> Result<(), Error> {
        let pixels = match to {
            Destination::Direct(out) => out,
            Destination::Scratch => &mut self.scratch[..],
        };
        let (width, height) = (size.width as usize, size.height as usize);
        let image = YuvImage { pixels, width, align: 1, height, subsamp };
        match self.decompressor.decompress_to_yuv(data, image) {
            Ok(()) => Ok(()),
            // Many webcams fill up in front of a marker: a warning for the library, the picture is whole.
            Err(error) if error.to_string().contains("extraneous bytes before marker") => Ok(()),
            Err(error) => Err(damaged(error)),
        }
    }
}

enum Destination<'a> {
    /// The JPEG is laid out as I420 already.
    Direct(&'a mut [u8]),
    Scratch,
}

fn decompressor() -> Result<Decompressor, Error> {
    let mut decompressor = Decompressor::new().map_err(damaged)?;
    // A camera has no reason for progressive JPEG; a hostile one could keep us busy with endless scans.
    decompressor.set_scan_limit(8).map_err(damaged)?;
    Ok(decompressor)
}

fn damaged(error: turbojpeg::Error) -> Error {
    Error::Damaged(error.to_string())
}

/// The JPEG without what follows it: drivers hand over the whole buffer, with the rest of older pictures behind this one.
/// `None` if it does not begin as a JPEG or has no end.
///
/// Segments before the scan are stepped over by their length (a thumbnail in one of them has an end marker of its own); in
/// the scan's entropy-coded data FF is always escaped, so that FF D9 can only be the end (ITU-T T.81, B.1.1).
pub fn cut(buffer: &[u8]) -> Option<&[u8]> {
    const START_OF_SCAN: u8 = 0xDA;
    if !buffer.starts_with(&[0xFF, 0xD8]) {
        return None;
    }
    let mut at = 2;
    loop {
        let (&[0xFF, marker], after) = (buffer.get(at..at + 2)?, at + 2) else { return None };
        if marker == 0xFF {
            at += 1;
            continue;
        }
        let length = usize::from(u16::from_be_bytes(buffer.get(after..after + 2)?.try_into().ok()?));
        at = after + length.max(2);
        if marker == START_OF_SCAN {
            break;
        }
    }
    let scan = buffer.get(at..)?;
    let end = scan.windows(2).position(|pair| pair == [0xFF, 0xD9])?;
    Some(&buffer[..at + end + 2])
}

/// Planes of any usual subsampling, as the library lays them out without padding between rows, to I420.
fn subsample(from: &[u8], subsamp: Subsamp, size: Size, out: &mut [u8]) -> Result<(), Error> {
    // How many luma samples one chroma sample stands for, across and down.
    let (across, down) = match subsamp {
        Subsamp::None | Subsamp::Gray => (1, 1),
        Subsamp::Sub2x1 => (2, 1),
        Subsamp::Sub1x2 => (1, 2),
        Subsamp::Sub2x2 => (2, 2),
        other => return Err(Error::Damaged(format!("JPEG with subsampling {other:?}"))),
    };
    let even = Raw::even(size);
    let (width, half) = (even.width as usize, even.width as usize / 2);
    // The library pads luma to whole chroma samples.
    let stride = (size.width as usize).next_multiple_of(across);
    let rows = (size.height as usize).next_multiple_of(down);
    let (chroma_stride, chroma_rows) = (stride / across, rows / down);
    let (luma, chroma) = from.split_at(stride * rows);
    let (y, u, v) = planes(out, even);
    for (from, to) in luma.chunks_exact(stride).zip(y.chunks_exact_mut(width)) {
        to.copy_from_slice(&from[..width]);
    }
    if subsamp == Subsamp::Gray {
        u.fill(128);
        v.fill(128);
        return Ok(());
    }
    let (from_u, from_v) = chroma.split_at(chroma_stride * chroma_rows);
    for (from, to) in [(from_u, u), (from_v, v)] {
        for (n, to) in to.chunks_exact_mut(half).enumerate() {
            let row = |n: usize| &from[n * chroma_stride..][..chroma_stride];
            let (above, below) = if down == 2 { (row(n), row(n)) } else { (row(2 * n), row(2 * n + 1)) };
            if across == 2 {
                average_rows(above, below, to);
            } else {
                for ((to, a), b) in to.iter_mut().zip(above.chunks_exact(2)).zip(below.chunks_exact(2)) {
                    let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
                    *to = ((sum + 2) >> 2) as u8;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use turbojpeg::{Compressor, Image, PixelFormat};

    const SIZE: Size = Size::new(96, 48);

    /// Left half red, right half blue.
    fn jpeg(size: Size, subsamp: Subsamp) -> Vec<u8> {
        let (width, height) = (size.width as usize, size.height as usize);
        let pixel = |i: usize| if i % width < width / 2 { [230, 20, 20] } else { [20, 20, 230] };
        let pixels: Vec<u8> = (0..width * height).flat_map(pixel).collect();
        let mut compressor = Compressor::new().unwrap();
        compressor.set_subsamp(subsamp).unwrap();
        compressor.set_quality(95).unwrap();
        let image = Image { pixels: &pixels[..], width, pitch: 3 * width, height, format: PixelFormat::RGB };
        compressor.compress_to_vec(image).unwrap()
    }

    fn decode(data: &[u8], size: Size) -> Result<Vec<u8>, Error> {
        let mut out = vec![0; Raw::even(size).pixels() * 3 / 2];
        Jpeg::new().unwrap().decode(data, size, &mut out).map(|()| out)
    }

    #[test]
    fn every_usual_subsampling_gives_the_same_picture() {
        // Full-range BT.601 of the two colours.
        let expected = [(83, 92, 233), (44, 233, 111)];
        for size in [SIZE, Size::new(97, 49)] {
            for subsamp in [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Sub1x2] {
                let mut out = decode(&jpeg(size, subsamp), size).unwrap();
                let (y, u, v) = planes(&mut out, SIZE);
                for (column, (ey, eu, ev)) in [12, 36].into_iter().zip(expected) {
                    let near = |got: u8, want: i32| (i32::from(got) - want).abs() <= 3;
                    let at = 11 * 48 + column;
                    assert!(near(y[30 * 96 + 2 * column], ey), "{subsamp:?} y {}", y[30 * 96 + 2 * column]);
                    assert!(near(u[at], eu) && near(v[at], ev), "{subsamp:?} u {} v {}", u[at], v[at]);
                }
            }
        }
        let gray = decode(&jpeg(SIZE, Subsamp::Gray), SIZE).unwrap();
        assert!(gray[SIZE.pixels()..].iter().all(|&chroma| chroma == 128));
    }

    #[test]
    fn what_follows_the_end_is_cut_off() {
        let whole = jpeg(SIZE, Subsamp::Sub2x1);
        let mut buffer = whole.clone();
        buffer.extend_from_slice(&[0xFF, 0xD9, 1, 2, 3, 0xFF, 0xD9]);
        assert_eq!(cut(&buffer), Some(&whole[..]));
        // An end marker inside a segment before the scan is not the end.
        let mut thumbnail = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 1, 0xFF, 0xD9, 2];
        thumbnail.extend_from_slice(&whole[2..]);
        assert_eq!(cut(&thumbnail), Some(&thumbnail[..]));
        for bad in [&[][..], &[0xFF, 0xD8], &[0xFF, 0xD8, 0xFF, 0xDA, 0xFF, 0xFF], &[0; 64], &whole[..whole.len() - 2]]
        {
            assert_eq!(cut(bad), None);
        }
    }

    #[test]
    fn damage_is_an_error_and_does_not_harm_the_next_picture() {
        let whole = jpeg(SIZE, Subsamp::Sub2x1);
        let mut out = vec![0; SIZE.pixels() * 3 / 2];
        let mut decoder = Jpeg::new().unwrap();
        assert!(decoder.decode(&whole, Size::new(64, 48), &mut out[..64 * 48 * 3 / 2]).is_err());
        let mut torn = whole[..whole.len() / 2].to_vec();
        torn.extend_from_slice(&[0xFF, 0xD9]);
        assert!(decoder.decode(&torn, SIZE, &mut out).is_err());
        for at in 2..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0xFF;
            // Whole or an error, never a crash, and never the end of the decoder.
            let _ = decoder.decode(&flipped, SIZE, &mut out);
            assert_eq!(decoder.decode(&whole, SIZE, &mut out), Ok(()));
        }
    }
}
