//! Hosts, groups and their variables: INI, YAML, scripts, directories, host lists; host patterns.
