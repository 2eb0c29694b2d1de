" portcullis.conf and what it includes
autocmd BufRead,BufNewFile portcullis.conf,*/portcullis/*.conf setfiletype portcullis
