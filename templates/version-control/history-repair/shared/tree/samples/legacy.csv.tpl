%% if legacy
id;tag;konto;art;menge
1;03.02.2020;Müller & Söhne;scan;12
2;03.02.2020;Café Bézier;disk;40
3;04.02.2020;Ångström;seat;1
%% end
