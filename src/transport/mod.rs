//! Ways to a host: OpenSSH masters, local processes, the agent's client side, become.
