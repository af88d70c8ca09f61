#!/bin/sh
echo "update-rc.d $*" >> /etc/init.d/log
case $2 in
  enable) rm -f /etc/rc?.d/K??$1; for l in 2 3 4 5; do ln -s ../init.d/$1 /etc/rc$l.d/S20$1; done ;;
  disable) rm -f /etc/rc?.d/S??$1; for l in 2 3 4 5; do ln -s ../init.d/$1 /etc/rc$l.d/K80$1; done;;
esac
true
