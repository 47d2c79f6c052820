/* Empty: keeps the system out of what the preprocessor makes of the public headers. */
