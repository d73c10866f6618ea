//! L2: from the desired stack and what the engine has to a plan. Pure: no clock, no engine, no questions.

pub mod step;
