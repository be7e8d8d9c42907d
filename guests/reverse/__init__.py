"""The smallest guest: gives back its input in reverse and says so in its log, in three languages."""
