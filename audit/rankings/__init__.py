"""Rules that order latents by what they do to a class: pure functions of SAE codes."""
