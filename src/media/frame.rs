//! One picture in planes.

use std::time::Instant;

/// Width and height in pixels. Both are even for every picture that the program handles: chroma is halved both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Size {
    /// The largest picture that any part of the program accepts, in either direction: 4096. What is larger is refused where it
    /// comes in, so that a hostile stream cannot make us allocate without end.
    pub const MAX_SIDE: u32 = 4096;

    /// A size from width and height in pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Whether a picture of this size can be handled: even, not empty, at most [`Size::MAX_SIDE`] each way.
    pub fn is_valid(self) -> bool {
        let (width, height) = (self.width, self.height);
        let even = width % 2 == 0 && height % 2 == 0;
        even && width >= 2 && height >= 2 && width <= Size::MAX_SIDE && height <= Size::MAX_SIDE
    }

    /// Number of luma samples.
    pub const fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// How 4:2:0 samples lie in the buffer, without padding between rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Y, then U, then V, each a plane of its own.
    I420,
    /// Y, then one plane of interleaved U and V.
    Nv12,
}

/// The matrix between R'G'B' and Y'CbCr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: most webcams' YUYV and all JPEG.
    Bt601,
    /// ITU-R BT.709: what this program sends.
    Bt709,
}

/// Which code values stand for black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16 to 235, chroma 16 to 240 ("studio", "TV").
    Limited,
    /// 0 to 255 ("full", "JPEG").
    Full,
}

/// What the code values of a picture mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Colour {
    /// The matrix.
    pub matrix: Matrix,
    /// The range.
    pub range: Range,
}

impl Colour {
    /// BT.709, limited: what a portal sends, and the default for anything that says nothing.
    pub const BT709_LIMITED: Self = Self { matrix: Matrix::Bt709, range: Range::Limited };
    /// BT.601, full: JPEG.
    pub const BT601_FULL: Self = Self { matrix: Matrix::Bt601, range: Range::Full };
    /// BT.601, limited: webcams that say nothing.
    pub const BT601_LIMITED: Self = Self { matrix: Matrix::Bt601, range: Range::Limited };
}

/// Everything about a picture but its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// Size in pixels.
    pub size: Size,
    /// Where the samples lie.
    pub layout: Layout,
    /// What they mean.
    pub colour: Colour,
}

impl Format {
    /// I420 in BT.709 limited range.
    pub const fn i420(size: Size) -> Self {
        Self { size, layout: Layout::I420, colour: Colour::BT709_LIMITED }
    }

    /// Bytes that a picture of this format takes.
    pub const fn bytes(self) -> usize {
        self.size.pixels() * 3 / 2
    }
}

/// Which plane of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Luma, one byte a sample.
    Y,
    /// The first chroma plane, one byte a sample at half the size. I420 only.
    U,
    /// The second chroma plane. I420 only.
    V,
    /// Interleaved chroma, two bytes a sample. NV12 only.
    Uv,
}

/// One picture. Made by a [`super::Pool`]; shared between threads as `Arc<Frame>` and never changed after that.
#[derive(Debug)]
pub struct Frame {
    /// What the samples are.
    pub format: Format,
    /// Counts the pictures of one source or one remote stream from 1; gaps are pictures that were dropped.
    pub number: u64,
    /// When the picture was taken, on this machine's monotonic clock. For a picture from the far end: its capture time carried
    /// over to our clock, `None` as long as the clocks are not yet related.
    pub captured: Option<Instant>,
    /// The era that it belongs to, see [`super::Era`].
    pub era: u64,
    data: Vec<u8>,
}

impl Frame {
    pub(super) fn empty() -> Self {
        Self { format: Format::i420(Size::new(0, 0)), number: 0, captured: None, era: 0, data: Vec::new() }
    }

    /// Makes this buffer a picture of another format. Allocates only when it grows. The samples are whatever was there.
    pub(super) fn reshape(&mut self, format: Format) {
        self.format = format;
        self.number = 0;
        self.captured = None;
        self.era = 0;
        self.data.resize(format.bytes(), 0);
    }

    /// All planes, one after the other.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All planes, to be written.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The samples of one plane, row by row without padding; empty where the layout has no such plane.
    pub fn plane(&self, plane: Plane) -> &[u8] {
        let (luma, quarter) = (self.format.size.pixels(), self.format.size.pixels() / 4);
        match (plane, self.format.layout) {
            (Plane::Y, _) => &self.data[..luma],
            (Plane::U, Layout::I420) => &self.data[luma..luma + quarter],
            (Plane::V, Layout::I420) => &self.data[luma + quarter..],
            (Plane::Uv, Layout::Nv12) => &self.data[luma..],
            _ => &[],
        }
    }

    /// Luma, and what follows it: the chroma planes in the layout's order. To write a picture in place.
    pub fn split_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let luma = self.format.size.pixels();
        self.data.split_at_mut(luma)
    }

    /// Luma, U and V of an I420 picture. For NV12 the second holds the interleaved chroma's first half: ask only for I420.
    pub fn i420_mut(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        debug_assert_eq!(self.format.layout, Layout::I420);
        let quarter = self.format.size.pixels() / 4;
        let (y, chroma) = self.split_mut();
        let (u, v) = chroma.split_at_mut(quarter);
        (y, u, v)
    }
}
