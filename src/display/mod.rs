//! display: to be written.
