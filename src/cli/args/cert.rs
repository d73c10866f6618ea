//! `cert`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `cert`
#[derive(Debug, Clone, Subcommand)]
pub enum CertCommand {
    /// Show the certificate: names, authority, how long it holds, when it is renewed
    Status,
    /// Ask for a certificate now, if there is none that holds
    Issue(IssueArgs),
    /// Renew the certificate if it is due; safe every hour, from anywhere
    Renew,
    /// Take a certificate over that was issued elsewhere
    Import(CertImportArgs),
    /// Print the stack's own authority, which signs trial certificates
    Trust,
}

/// `cert issue`
#[derive(Debug, Clone, Args)]
pub struct IssueArgs {
    /// Only try it out, with the authority's directory for that; nothing is changed
    #[arg(long, conflicts_with = "anew")]
    pub staging: bool,
    /// Also where there is one that holds: its key may have been seen
    #[arg(long)]
    pub anew: bool,
}

/// `cert import`
#[derive(Debug, Clone, Args)]
pub struct CertImportArgs {
    /// File with the certificate and what signed it, PEM, leaf first
    #[arg(value_name = "CHAIN")]
    pub chain: PathBuf,
    /// File with the private key, PEM
    #[arg(value_name = "KEY")]
    pub key: PathBuf,
}
