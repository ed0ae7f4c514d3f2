-- Biblioteca civica: autori, libri, copie, soci, prestiti, recensioni.
CREATE TABLE autori (
  id_autore INTEGER PRIMARY KEY,
  nome TEXT NOT NULL,
  cognome TEXT NOT NULL,
  nazione TEXT NOT NULL,
  anno_nascita INTEGER NOT NULL,
  anno_morte INTEGER -- NULL se in vita
);

CREATE TABLE libri (
  id_libro INTEGER PRIMARY KEY,
  titolo TEXT NOT NULL,
  id_autore INTEGER NOT NULL REFERENCES autori(id_autore),
  genere TEXT NOT NULL CHECK (genere IN ('romanzo', 'giallo', 'racconti', 'memorie', 'saggio', 'poesia', 'ragazzi')),
  anno_pubblicazione INTEGER NOT NULL, -- anno della prima edizione
  pagine INTEGER,
  editore TEXT
);

CREATE TABLE copie (
  id_copia INTEGER PRIMARY KEY,
  id_libro INTEGER NOT NULL REFERENCES libri(id_libro),
  scaffale TEXT, -- NULL se non collocata
  stato TEXT NOT NULL CHECK (stato IN ('buono', 'usurato', 'smarrito')),
  data_acquisto TEXT NOT NULL -- AAAA-MM-GG
);

CREATE TABLE soci (
  id_socio INTEGER PRIMARY KEY,
  nome TEXT NOT NULL,
  cognome TEXT NOT NULL,
  citta TEXT NOT NULL,
  data_nascita TEXT NOT NULL,
  data_iscrizione TEXT NOT NULL,
  email TEXT
);

CREATE TABLE prestiti (
  id_prestito INTEGER PRIMARY KEY,
  id_copia INTEGER NOT NULL REFERENCES copie(id_copia),
  id_socio INTEGER NOT NULL REFERENCES soci(id_socio),
  data_prestito TEXT NOT NULL,
  data_scadenza TEXT NOT NULL,
  data_restituzione TEXT -- NULL se non ancora restituito
);

CREATE TABLE recensioni (
  id_socio INTEGER NOT NULL REFERENCES soci(id_socio),
  id_libro INTEGER NOT NULL REFERENCES libri(id_libro),
  voto INTEGER NOT NULL CHECK (voto BETWEEN 1 AND 5),
  data TEXT NOT NULL,
  commento TEXT,
  PRIMARY KEY (id_socio, id_libro)
);

INSERT INTO autori (id_autore, nome, cognome, nazione, anno_nascita, anno_morte) VALUES
  (1, 'Italo', 'Calvino', 'Italia', 1923, 1985),
  (2, 'Elsa', 'Morante', 'Italia', 1912, 1985),
  (3, 'Primo', 'Levi', 'Italia', 1919, 1987),
  (4, 'Carlo', 'Levi', 'Italia', 1902, 1975),
  (5, 'Natalia', 'Ginzburg', 'Italia', 1916, 1991),
  (6, 'Umberto', 'Eco', 'Italia', 1932, 2016),
  (7, 'Grazia', 'Deledda', 'Italia', 1871, 1936),
  (8, 'Andrea', 'Camilleri', 'Italia', 1925, 2019),
  (9, 'Niccolò', 'Ammaniti', 'Italia', 1966, NULL),
  (10, 'Dacia', 'Maraini', 'Italia', 1936, NULL),
  (11, 'Gianni', 'Rodari', 'Italia', 1920, 1980),
  (12, 'Georges', 'Simenon', 'Belgio', 1903, 1989),
  (13, 'Agatha', 'Christie', 'Regno Unito', 1890, 1976),
  (14, 'Jane', 'Austen', 'Regno Unito', 1775, 1817),
  (15, 'José', 'Saramago', 'Portogallo', 1922, 2010),
  (16, 'Donatella', 'Di Pietrantonio', 'Italia', 1962, NULL),
  (17, 'Eugenio', 'Montale', 'Italia', 1896, 1981),
  (18, 'Daniel', 'Pennac', 'Francia', 1944, NULL),
  (19, 'Haruki', 'Murakami', 'Giappone', 1949, NULL);

INSERT INTO libri (id_libro, titolo, id_autore, genere, anno_pubblicazione, pagine, editore) VALUES
  (1, 'Il barone rampante', 1, 'romanzo', 1957, 280, 'Mondadori'),
  (2, 'Le città invisibili', 1, 'romanzo', 1972, 172, 'Mondadori'),
  (3, 'Marcovaldo', 1, 'racconti', 1963, 140, 'Mondadori'),
  (4, 'L''isola di Arturo', 2, 'romanzo', 1957, 384, 'Einaudi'),
  (5, 'La Storia', 2, 'romanzo', 1974, 665, 'Einaudi'),
  (6, 'Se questo è un uomo', 3, 'memorie', 1947, 210, 'Einaudi'),
  (7, 'La tregua', 3, 'memorie', 1963, 230, 'Einaudi'),
  (8, 'Il sistema periodico', 3, 'racconti', 1975, 244, 'Einaudi'),
  (9, 'Cristo si è fermato a Eboli', 4, 'memorie', 1945, 240, 'Einaudi'),
  (10, 'Lessico famigliare', 5, 'memorie', 1963, 212, 'Einaudi'),
  (11, 'Il nome della rosa', 6, 'giallo', 1980, 540, 'Bompiani'),
  (12, 'Il pendolo di Foucault', 6, 'romanzo', 1988, 680, 'Bompiani'),
  (13, 'Come si fa una tesi di laurea', 6, 'saggio', 1977, NULL, 'Bompiani'),
  (14, 'Canne al vento', 7, 'romanzo', 1913, 250, 'Mondadori'),
  (15, 'La forma dell''acqua', 8, 'giallo', 1994, 173, 'Sellerio'),
  (16, 'Il cane di terracotta', 8, 'giallo', 1996, 270, 'Sellerio'),
  (17, 'Ti prendo e ti porto via', 9, 'romanzo', 1999, 452, 'Mondadori'),
  (18, 'Io non ho paura', 9, 'romanzo', 2001, 219, 'Einaudi'),
  (19, 'La lunga vita di Marianna Ucrìa', 10, 'romanzo', 1990, 265, 'Rizzoli'),
  (20, 'Favole al telefono', 11, 'ragazzi', 1962, 150, 'Einaudi Ragazzi'),
  (21, 'Grammatica della fantasia', 11, 'saggio', 1973, 190, 'Einaudi Ragazzi'),
  (22, 'Il cane giallo', 12, 'giallo', 1931, 148, 'Adelphi'),
  (23, 'L''uomo che guardava passare i treni', 12, 'romanzo', 1938, 211, 'Adelphi'),
  (24, 'Dieci piccoli indiani', 13, 'giallo', 1939, 222, 'Mondadori'),
  (25, 'Assassinio sull''Orient Express', 13, 'giallo', 1934, 232, 'Mondadori'),
  (26, 'Orgoglio e pregiudizio', 14, 'romanzo', 1813, 400, NULL),
  (27, 'Cecità', 15, 'romanzo', 1995, 290, 'Feltrinelli'),
  (28, 'L''Arminuta', 16, 'romanzo', 2017, 163, 'Einaudi'),
  (29, 'Ossi di seppia', 17, 'poesia', 1925, NULL, 'Mondadori'),
  (30, 'Norwegian Wood', 19, 'romanzo', 1987, 379, 'Einaudi');

INSERT INTO copie (id_copia, id_libro, scaffale, stato, data_acquisto) VALUES
  (1, 1, 'A1', 'buono', '2015-03-10'),
  (2, 1, 'A1', 'usurato', '2009-06-01'),
  (3, 2, 'A1', 'buono', '2018-02-20'),
  (4, 3, 'A1', 'buono', '2020-09-14'),
  (5, 4, 'A2', 'usurato', '2007-11-05'),
  (6, 5, 'A2', 'buono', '2016-04-18'),
  (7, 5, NULL, 'smarrito', '2006-01-30'),
  (8, 6, 'B1', 'buono', '2019-01-25'),
  (9, 6, 'B1', 'buono', '2021-01-25'),
  (10, 6, 'B1', 'usurato', '2005-01-20'),
  (11, 7, 'B1', 'buono', '2019-01-25'),
  (12, 8, 'B1', 'usurato', '2007-10-02'),
  (13, 9, 'B1', 'buono', '2018-03-15'),
  (14, 10, 'B2', 'buono', '2014-05-07'),
  (15, 11, 'C1', 'buono', '2013-09-30'),
  (16, 11, 'C1', 'usurato', '2005-07-12'),
  (17, 12, 'C1', 'buono', '2013-09-30'),
  (18, 14, 'A3', 'usurato', '2006-02-11'),
  (19, 15, 'C2', 'buono', '2012-08-08'),
  (20, 15, NULL, 'smarrito', '2011-08-08'),
  (21, 16, 'C2', 'buono', '2012-08-08'),
  (22, 18, 'A3', 'buono', '2010-10-19'),
  (23, 19, 'A3', 'buono', '2011-03-08'),
  (24, 20, 'D1', 'buono', '2022-04-02'),
  (25, 20, 'D1', 'usurato', '2010-04-02'),
  (26, 22, 'C2', 'buono', '2016-12-12'),
  (27, 24, 'C3', 'buono', '2018-07-23'),
  (28, 25, 'C3', 'usurato', '2009-09-09'),
  (29, 28, 'A3', 'buono', '2019-11-11'),
  (30, 30, NULL, 'buono', '2020-02-28');

INSERT INTO soci (id_socio, nome, cognome, citta, data_nascita, data_iscrizione, email) VALUES
  (1, 'Nicolò', 'D''Angelo', 'Forlì', '1988-04-12', '2019-01-15', 'nicolo.dangelo@example.com'),
  (2, 'Chiara', 'Bellini', 'Faenza', '1995-09-30', '2020-02-03', 'chiara.bellini@example.org'),
  (3, 'Giosuè', 'Marchetti', 'Forlì', '1952-12-01', '2018-05-20', NULL),
  (4, 'Anna', 'Dell''Acqua', 'Cesena', '2001-06-18', '2022-10-11', 'anna.dellacqua@example.com'),
  (5, 'Fatima', 'El Amrani', 'Forlì', '1990-03-08', '2021-03-22', 'f.elamrani@example.org'),
  (6, 'Luca', 'Rossi', 'Ravenna', '1979-07-07', '2019-01-15', 'luca.rossi79@example.com'),
  (7, 'Luca', 'Rossi', 'Faenza', '2008-11-25', '2023-09-05', NULL),
  (8, 'Maria Teresa', 'Zoli', 'Forlì', '1947-02-14', '2018-05-02', NULL),
  (9, 'Matteo', 'Fabbri', 'Cesena', '1983-10-21', '2020-11-30', 'matteo.fabbri@example.com'),
  (10, 'Giulia', 'Conti', 'Bertinoro', '1998-01-05', '2022-01-18', 'giulia.conti@example.org'),
  (11, 'Oleksandr', 'Kovalenko', 'Forlì', '1986-08-19', '2022-06-09', 'o.kovalenko@example.com'),
  (12, 'Beatrice', 'Casadei', 'Ravenna', '2010-05-03', '2023-09-05', NULL),
  (13, 'Pietro', 'Casadei', 'Ravenna', '1974-03-27', '2021-03-22', 'pietro.casadei@example.org'),
  (14, 'Irene', 'Montanari', 'Faenza', '1969-12-24', '2024-01-10', 'irene.montanari@example.com'),
  (15, 'Ugo', 'Valli', 'Cesena', '1939-05-16', '2018-09-12', NULL);

INSERT INTO prestiti (id_prestito, id_copia, id_socio, data_prestito, data_scadenza, data_restituzione) VALUES
  (1, 1, 1, '2022-12-12', '2023-01-11', '2023-01-09'),
  (2, 8, 2, '2023-01-12', '2023-02-11', '2023-02-20'),
  (3, 15, 3, '2023-01-20', '2023-02-19', '2023-02-19'),
  (4, 19, 3, '2023-02-20', '2023-03-22', '2023-03-10'),
  (5, 24, 8, '2023-03-01', '2023-03-31', '2023-03-25'),
  (6, 6, 5, '2023-03-05', '2023-04-04', '2023-05-02'),
  (7, 21, 3, '2023-03-11', '2023-04-10', '2023-04-10'),
  (8, 14, 9, '2023-04-03', '2023-05-03', '2023-04-28'),
  (9, 8, 1, '2023-04-15', '2023-05-15', '2023-05-15'),
  (10, 26, 3, '2023-05-08', '2023-06-07', '2023-06-07'),
  (11, 11, 2, '2023-05-20', '2023-06-19', '2023-06-10'),
  (12, 29, 10, '2023-06-01', '2023-07-01', '2023-06-15'),
  (13, 27, 13, '2023-06-18', '2023-07-18', '2023-08-01'),
  (14, 3, 4, '2023-07-04', '2023-08-03', '2023-07-30'),
  (15, 20, 6, '2023-07-10', '2023-08-09', NULL),
  (16, 9, 11, '2023-09-12', '2023-10-12', '2023-10-05'),
  (17, 24, 12, '2023-09-15', '2023-10-15', '2023-10-01'),
  (18, 1, 7, '2023-09-20', '2023-10-20', '2023-11-06'),
  (19, 22, 7, '2023-11-06', '2023-12-06', '2023-12-01'),
  (20, 15, 5, '2023-11-10', '2023-12-10', '2023-12-22'),
  (21, 24, 12, '2023-12-02', '2024-01-01', '2023-12-28'),
  (22, 19, 9, '2023-12-15', '2024-01-14', '2024-01-09'),
  (23, 8, 13, '2024-01-08', '2024-02-07', '2024-02-01'),
  (24, 5, 2, '2024-01-15', '2024-02-14', '2024-02-14'),
  (25, 12, 1, '2024-01-22', '2024-02-21', '2024-02-12'),
  (26, 21, 8, '2024-02-05', '2024-03-06', '2024-02-27'),
  (27, 30, 10, '2024-02-19', '2024-03-20', NULL),
  (28, 1, 5, '2024-02-26', '2024-03-27', '2024-03-18'),
  (29, 17, 3, '2024-03-04', '2024-04-03', NULL),
  (30, 25, 12, '2024-03-11', '2024-04-10', NULL);

INSERT INTO recensioni (id_socio, id_libro, voto, data, commento) VALUES
  (1, 1, 5, '2023-02-03', 'Un inno alla libertà'),
  (1, 6, 5, '2023-05-16', 'Necessario'),
  (2, 6, 4, '2023-02-21', NULL),
  (2, 7, 4, '2023-06-12', 'Più lieve del primo, ma altrettanto vivo'),
  (3, 11, 5, '2023-02-20', 'L''ho riletto due volte'),
  (3, 15, 5, '2023-03-12', NULL),
  (3, 16, 3, '2023-04-11', 'Un po'' lento'),
  (3, 22, 4, '2023-06-08', NULL),
  (4, 2, 2, '2023-07-31', 'Non c''è trama'),
  (5, 5, 3, '2023-05-04', 'Bello ma lunghissimo'),
  (5, 11, 2, '2023-12-23', 'Troppo latino'),
  (7, 1, 4, '2023-11-07', NULL),
  (8, 20, 3, '2023-03-26', NULL),
  (9, 10, 5, '2023-04-30', 'Che famiglia!'),
  (9, 15, 5, '2024-01-10', 'Montalbano è Montalbano'),
  (10, 28, 5, '2023-06-16', NULL),
  (11, 6, 4, '2023-10-06', NULL),
  (12, 20, 5, '2023-10-02', 'Bellissimo'),
  (13, 6, 5, '2024-02-02', 'Da leggere a scuola'),
  (13, 9, 3, '2024-03-02', 'Un viaggio in un altro mondo'),
  (13, 24, 3, '2023-08-02', NULL),
  (15, 14, 4, '2023-03-08', 'Mi ricorda l''infanzia');
