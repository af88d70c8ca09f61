//! What runs on the controller: debug, set_fact, template, copy and their like.
