//! The prober against servers with known defects: each must be found, and nothing else.

mod hostile;
mod limits;
mod ready;
mod support;
mod tls;
