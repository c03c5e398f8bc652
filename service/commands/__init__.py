"""The commands of `points`, each a thin shell around a projection or a consumer; heavy imports wait until they run."""
