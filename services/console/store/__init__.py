"""The console's SQL, by domain. What a function returns is what the API answers."""
