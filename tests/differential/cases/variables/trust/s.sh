#!/bin/sh
echo "{{ secret }}"
