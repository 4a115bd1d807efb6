"""The FL server: drive a campaign's rounds, and open one Shapley task a round."""
