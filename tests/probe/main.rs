//! The prober against servers with known defects.
