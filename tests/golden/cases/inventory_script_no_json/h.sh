#!/bin/sh
echo abc
