//! What must hold for every input: compiled policies answer as naive evaluators do, the analysis tells what brute force finds,
//! names have one normal form. Policies are made by chance, each module's of parts that its universe can tell apart.

mod analysis;
mod decide;
mod evaluation;
mod generate;
mod names;
mod packet_analysis;
mod sways;
