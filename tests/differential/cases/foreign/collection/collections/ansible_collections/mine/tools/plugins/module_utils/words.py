HELLO = 'Good day'
